"""Volumes: NIfTI files and DICOM series, cut into slices that lie as radiologists hang them."""
