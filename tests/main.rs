//! The one integration binary.

mod ingest; // cameras, files and RTSP servers that fail in every way they know
