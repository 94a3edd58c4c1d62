"""Every decoder under hostile input: `make fuzz` by the million, `make test` a little, and every input that once broke one."""
