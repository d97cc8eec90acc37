"""When and how stages run: the Prefect flow, schedules, studies and the command line. No torch."""
