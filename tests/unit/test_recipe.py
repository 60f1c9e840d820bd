from __future__ import annotations

import pytest

from tinyq.training.recipe import RecipeError, Rule, read_recipe, resolve

WEIGHTED, OTHERS = ("conv1", "conv2", "conv3", "dense"), ("add",)


def rules(source):
    return resolve(read_recipe(source), WEIGHTED, OTHERS)


def test_first_and_last_layers_are_int8_unless_told():
    found = rules({"weights": "ternary", "activations": "uint4"})
    assert found["conv1"] == found["dense"] == Rule(weights="int8", activations="int8")
    assert found["conv2"] == found["conv3"] == Rule(weights="ternary", activations="uint4")
    assert found["add"] == Rule()


def test_first_and_last_can_be_switched_off_or_changed():
    found = rules({"weights": "ternary", "first": None, "last": {"weights": "int4"}})
    assert found["conv1"].weights == "ternary"
    assert found["dense"] == Rule(weights="int4", activations="int8")


def test_a_bare_name_stands_for_both():
    found = rules({"layers": {"conv2": "binary"}})
    assert found["conv2"] == Rule(weights="binary", activations="binary")


def test_later_patterns_override_earlier_ones_and_the_first_rule():
    layers = {"conv*": {"weights": "int4"}, "conv[12]": {"weights": "ternary"}}
    found = rules({"weights": "binary", "layers": layers})
    weights = [found[name].weights for name in WEIGHTED]
    assert weights == ["ternary", "ternary", "int4", "int8"]


def test_yaml_file(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("weights: int4\nlayers:\n  conv3: {weights: ternary, activations: uint4}\n")
    assert rules(path)["conv3"] == Rule(weights="ternary", activations="uint4")
    assert rules(str(path))["conv2"].weights == "int4"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"wieghts": "int8"}, ["'wieghts'", "did you mean 'weights'"]),
        ({"weights": "tenary"}, ["'tenary'", "did you mean ternary"]),
        ({"weights": "uint4"}, ["'uint4' for weights"]),
        ({"activations": "int4"}, ["'int4' for activations", "uint4"]),
        ({"layers": {"conv1": {"weights": "int9"}}}, ["layers.conv1.weights: ", "int4"]),
        ({"weights": 8}, ["weights:", "string"]),
        ({"layers": {"conv9": {"weights": "int4"}}}, ["'conv9' matches no layer", "conv3"]),
        ({"layers": {"conv1": {"weight": "int4"}}}, ["layers.conv1.weight", "'weights'"]),
        ({"layers": {"add": {"weights": "int4"}}}, ["layers.add.weights", "no weights"]),
        ({"input": {"range": [1, 0]}}, ["input", "empty"]),
        ({"input": {"rnage": [0, 1]}}, ["input.rnage", "'range'"]),
        ({"first": {"bits": 8}}, ["first.bits", "weights"]),
        (["int8"], ["a recipe is a mapping"]),
    ],
)
def test_faults_are_named(source, words):
    with pytest.raises(RecipeError) as caught:
        rules(source)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [("weights: [int8\n", ["recipe.yaml:", "expected"]), ("- int8\n", ["a recipe is a mapping"])],
)
def test_faulty_files_are_named(tmp_path, text, words):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        read_recipe(path)
    for word in ["recipe.yaml", *words]:
        assert word in str(caught.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"no such recipe file"):
        read_recipe(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("weights: int8\nweights: int4\n", ["recipe.yaml:2", "'weights' stands twice", "line 1"]),
        ("layers:\n  a: int4\n  b: {weights: int4, weights: int8}\n", ["recipe.yaml:3", "twice"]),
        ("input: {range: [-.inf, .inf]}\n", ["input", "no end"]),
        ("input: {range: [0, 1e400]}\n", ["input", "no end"]),
        ("input: {range: [.nan, 1]}\n", ["input", "no end"]),
        ("layers: {'conv[': int4}\n", ["layers", "bracket"]),
        ("weights: " + "9" * 5000, ["more than 4,000 letters"]),
        ("weights: " + "[" * 3000, ["nested deeper"]),
        ("a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
            f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
            for before, name in zip("abcdefgh", "bcdefghi", strict=True)
        ), ["stands for more than"]),
        ("weights: &a [*a]\n", ["refers to what it stands in"]),
        ("weights: !!python/object/apply:os.system ['true']\n", ["recipe.yaml:1", "constructor"]),
        ("weights: 2001-99-99\n", ["month"]),
        ("weights: int8\n---\nweights: int4\n", ["recipe.yaml", "document"]),
        ("? [1, 2]\n: 3\n", ["recipe.yaml"]),
        ("<<: *none\n", ["recipe.yaml", "alias"]),
        ("weights: int8\n" * 10_000, ["is longer than"]),
    ],
)  # fmt: skip
def test_hostile_files_are_refused(tmp_path, text, words):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        read_recipe(path)
    for word in words:
        assert word in str(caught.value)


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"weights: \xff\xfe")
    with pytest.raises(RecipeError, match="damaged"):
        read_recipe(path)
    with pytest.raises(RecipeError, match="cannot be read|regular file"):
        read_recipe(tmp_path)


def test_an_anchor_and_a_merge_are_plain_yaml(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "layers:\n  conv1: &few {weights: ternary, activations: uint4}\n  conv2: *few\n"
        "  conv3:\n    <<: *few\n    weights: int4\n"
    )
    found = rules(path)
    assert found["conv2"] == Rule(weights="ternary", activations="uint4")
    assert found["conv3"] == Rule(weights="int4", activations="uint4")
