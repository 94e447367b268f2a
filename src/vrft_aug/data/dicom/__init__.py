"""DICOM: headers whose values stay in here, and pixels as a viewer shows them."""
