//! Has the crate compiled again when a file comes to or leaves the folders of controllers, which
//! `automod` reads at compile time and cargo cannot know of.

fn main() {
    println!("cargo::rerun-if-changed=src/api");
}
