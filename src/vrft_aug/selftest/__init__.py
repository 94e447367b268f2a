"""Is this machine fit: exactness, precision, sampling, adapters, resume, memory and speed, in plain words"""
