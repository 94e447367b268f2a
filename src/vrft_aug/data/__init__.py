"""From files to Cases: settings, readers, pictures, boxes, masks, splits."""
