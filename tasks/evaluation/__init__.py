"""What models are judged by: their error through the exported file, as recorded and under conditions."""
