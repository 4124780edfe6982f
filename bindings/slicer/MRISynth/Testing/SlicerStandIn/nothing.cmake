# Slicer makes packages here.
