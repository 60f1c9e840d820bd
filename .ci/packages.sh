#!/usr/bin/env bash
# Installs the programs that are missing, by apt when root or sudo allows, and says what to install
# otherwise. Exit code 0 when everything asked for is there.
#
#   packages.sh demo    compilers and the emulator
#   packages.sh all     these, and what tests and lint use besides
set -euo pipefail

have() {
    command -v "$1" >/dev/null 2>&1
}

have_newlib() {
    have arm-none-eabi-gcc && [[ -e $(arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -print-file-name=libc.a) ]]
}

have_host_compiler() {
    have gcc && printf '#include <stdio.h>\nint main(void) { return 0; }\n' \
        | gcc -x c - -o /dev/null 2>/dev/null
}

# clang alone does not link sanitizers: its runtime is a package of its own on Debian.
have_sanitizers() {
    have clang && printf 'int main(void) { return 0; }\n' \
        | clang -x c - -fsanitize=address,fuzzer-no-link,undefined -o /dev/null 2>/dev/null
}

# The library around which the tests build their AVR emulator.
have_simavr() {
    have gcc && printf '#include <simavr/sim_avr.h>\nint main(void) { return 0; }\n' \
        | gcc -x c - -o /dev/null -lsimavr 2>/dev/null
}

have_avr_libc() {
    have avr-gcc && [[ -e $(avr-gcc -mmcu=atmega2560 -print-file-name=crtatmega2560.o) ]]
}

# A Debian python3 has the venv module but not the pip that it copies.
have_venv() {
    local python
    if python=$("$(dirname "$0")/python.sh" 2>/dev/null); then
        "$python" -c 'import ensurepip, venv' 2>/dev/null
    fi
}

missing() {
    have_venv || echo python3-venv
    have_host_compiler || printf '%s\n' gcc libc6-dev
    have arm-none-eabi-gcc || echo gcc-arm-none-eabi
    have_newlib || echo libnewlib-arm-none-eabi
    have qemu-system-arm || echo qemu-system-arm
    [[ $1 == all ]] || return 0
    have_sanitizers || printf '%s\n' clang libclang-rt-dev
    have clang-format || echo clang-format
    have avr-gcc || echo gcc-avr
    have cmake || echo cmake
    have espeak-ng || echo espeak-ng
    [[ -d /usr/share/arduino/hardware/arduino/avr ]] || echo arduino-core-avr
    have_avr_libc || echo avr-libc
    have_simavr || printf '%s\n' libsimavr-dev libelf-dev
    compgen -G "/usr/lib/postgresql/*/bin/pg_ctl" >/dev/null || echo postgresql
    have riscv64-unknown-elf-gcc || echo gcc-riscv64-unknown-elf
    have qemu-system-riscv32 || echo qemu-system-misc
}

wanted=${1:-all}
mapfile -t packages < <(missing "$wanted")
((${#packages[@]})) || exit 0

if ! have apt-get; then
    echo "error: missing programs; install what Debian calls: ${packages[*]}" >&2
    exit 1
fi
if [[ $(id -u) == 0 ]]; then
    as_root=(env DEBIAN_FRONTEND=noninteractive)
elif have sudo && sudo -n true 2>/dev/null; then
    as_root=(sudo -n env DEBIAN_FRONTEND=noninteractive)
else
    echo "error: missing programs; install them: sudo apt-get install -y ${packages[*]}" >&2
    exit 1
fi

echo "installing ${packages[*]}"
apt=("${as_root[@]}" apt-get -qq -o DPkg::Lock::Timeout=300)
"${apt[@]}" update </dev/null
"${apt[@]}" install -y --no-install-recommends "${packages[@]}" </dev/null >/dev/null

left=$(missing "$wanted")
if [[ -n $left ]]; then
    echo "error: still missing after apt-get install: ${left//$'\n'/ }" >&2
    exit 1
fi
