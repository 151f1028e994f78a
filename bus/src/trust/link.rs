//! Whether a message continues its history: the record that it names as its predecessor stands where it says.

use std::io;

use events::record::previous_of;
use events::tlog::{self, Node};
use events::{Link, subject};

use super::tree::Tree;
use crate::whole::RawMessage;

/// How a message stands to the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linked {
    /// It begins a history.
    First,
    /// It follows the record that it names.
    Follows(Link),
    /// What it names is not there.
    Broken(Link),
    /// It is no record of this program.
    NoRecord,
}

/// A message's leaf.
pub(crate) fn leaf_of(message: &RawMessage) -> Node {
    tlog::leaf(message.subject(), message.sequence, message.hash())
}

/// Looks the predecessor up in the tree of all that came before.
pub(crate) fn linked(tree: &Tree, message: &RawMessage) -> io::Result<Linked> {
    let subject = message.subject();
    if subject::parse_registration(subject).is_none() && subject::parse_maker(subject).is_none() {
        return Ok(Linked::NoRecord);
    }
    Ok(match previous_of(&message.payload) {
        Err(_) => Linked::NoRecord,
        Ok(None) => Linked::First,
        Ok(Some(link)) if is_there(tree, message, link)? => Linked::Follows(link),
        Ok(Some(link)) => Linked::Broken(link),
    })
}

fn is_there(tree: &Tree, message: &RawMessage, link: Link) -> io::Result<bool> {
    let named = tlog::leaf(message.subject(), link.sequence, link.hash);
    Ok(link.sequence < message.sequence && tree.leaf(link.sequence)? == Some(named))
}
