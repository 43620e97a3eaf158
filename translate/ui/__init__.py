"""The page: one file per tab."""

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # nothing is told to anybody; read when Gradio is imported
