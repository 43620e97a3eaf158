"""The methods: one file, one paper, one `--task`."""
