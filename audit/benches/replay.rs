//! How fast the log is replayed: a bare ordered read of a real server, decoded, and as lines, in one run; one JSON object.

fn main() {}
