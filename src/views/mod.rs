//! The `views` room.
