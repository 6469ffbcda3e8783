"""What the formats that store arrays in chunks share: HDF5 and Zarr."""
