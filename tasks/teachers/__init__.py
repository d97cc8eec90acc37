"""What teachers say, however they say it: adopted, asked once, stored, and read back batch by batch."""
