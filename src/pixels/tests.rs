//! Letterbox and crop against a slow, obvious reference.
