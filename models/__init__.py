"""The methods: one file, one paper, one `--task`; rooms of kin, and `common`, what three or more share."""
