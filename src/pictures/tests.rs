//! What an owner relies on, with the real worker and real files: an event has its picture, nothing under a mask is in it, the disk is
//! never filled, and nobody waits.

