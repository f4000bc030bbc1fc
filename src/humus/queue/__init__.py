"""The queue framework: processors, runtimes over them, the application and its configuration."""
