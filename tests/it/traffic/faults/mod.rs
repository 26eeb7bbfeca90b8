//! What goes wrong goes wrong on the real chain: the process killed at every step of a write, parts that stop
//! or refuse, and others who write the same object at the same time.

mod forgetful;
mod gate;
mod killed;
mod parts;
mod racing;
