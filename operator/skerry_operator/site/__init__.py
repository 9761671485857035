"""The operator of one site: schedules the runtime, merges its nodes' evidence, passes the verdict on."""
