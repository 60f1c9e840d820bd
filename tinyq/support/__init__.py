"""What every stage may use: resources, folders replaced whole, templates, samples, plots."""
