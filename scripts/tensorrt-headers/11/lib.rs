//! Nothing: the manifest beside it only asks for headers.
