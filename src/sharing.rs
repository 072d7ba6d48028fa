//! Who has which part of a work that several share, in any processes.
//!
//! Its members are the holders of a lock that is shared, so everybody sees who they are, is told when that changes, and notices
//! at once who dies. Nobody agrees with anybody on anything: each knows from the list which parts are his, by a rule that gives
//! every member the same answer. As long as not all see the same list a part may be wanted by two; so each part has a lock of its
//! own, which lets in one.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::storage::lock::Holder;
use millpond_actors::storage::partition::mix;

use crate::lock::{Lock, LockGuard};

/// One of the members, and what he knows of the others.
pub(crate) struct Membership {
    lock: Lock,
    token: u64,
    known: Vec<u64>,
    share: Vec<bool>,
    news: Pin<Box<dyn Future<Output = Result<Vec<Holder>>> + Send>>,
}

impl Membership {
    /// One who holds the members' lock by this guard, of so many parts. None is his before he has looked.
    pub(crate) fn new(lock: &Lock, membership: &LockGuard, parts: usize) -> Membership {
        // No token is 0, so the first answer comes at once, whoever is there: it may be nobody already.
        let (lock, known, news) = (lock.clone(), Vec::new(), ask(lock, vec![0]));
        Membership { lock, token: membership.token(), known, share: vec![false; parts], news }
    }

    /// Whether he has found out who the members are.
    pub(crate) fn is_known(&self) -> bool {
        !self.known.is_empty()
    }

    /// Whether a part is his.
    pub(crate) fn has(&self, part: usize) -> bool {
        self.share.get(part).copied().unwrap_or(false)
    }

    /// Looks who is there now, and comes to be woken when that changes.
    ///
    /// # Errors
    /// [`Error::Lost`] if he is none any more; [`Error::Closed`].
    pub(crate) fn look(&mut self, context: &mut Context<'_>) -> Result<()> {
        while let Poll::Ready(found) = self.news.as_mut().poll(context) {
            // A store that is closing gives up what it holds.
            if self.lock.runtime.is_closed() {
                return Err(Error::Closed);
            }
            self.news = match found {
                Ok(holders) => {
                    self.known = holders.iter().map(|holder| holder.grant.token).collect();
                    if !self.known.contains(&self.token) {
                        let lock = self.lock.checked()?.0.to_string();
                        return Err(Error::Lost { lock, ticket: self.token });
                    }
                    self.share = share_of(&self.known, self.token, self.share.len());
                    ask(&self.lock, self.known.clone())
                }
                Err(_) => ask_later(&self.lock, self.known.clone()),
            };
        }
        Ok(())
    }
}

/// Who the members are, as soon as they are others than those that are known.
fn ask(lock: &Lock, known: Vec<u64>) -> Pin<Box<dyn Future<Output = Result<Vec<Holder>>> + Send>> {
    let lock = lock.clone();
    Box::pin(async move { lock.changed(known).await })
}

/// The same in a while: it could not be asked for now.
fn ask_later(lock: &Lock, known: Vec<u64>) -> Pin<Box<dyn Future<Output = Result<Vec<Holder>>> + Send>> {
    let (timer, asked) = (lock.runtime.timer(limits::TRY_AGAIN), ask(lock, known));
    Box::pin(async move {
        let _ = timer.await;
        asked.await
    })
}

/// Which parts one of the members has, as long as these are the members. Everybody has as many as the others, or one more.
///
/// Each part goes to the member who likes it best among those who may still have one (rendezvous hashing with a bound), so
/// that few parts change hands when somebody comes or goes.
fn share_of(members: &[u64], member: u64, parts: usize) -> Vec<bool> {
    let mut own = vec![false; parts];
    let count = members.len().max(1);
    let (each, mut more) = (parts / count, parts % count);
    let mut given: Vec<(u64, usize)> = members.iter().map(|member| (*member, 0)).collect();
    for (part, is_own) in (0_u64..).zip(&mut own) {
        let liking = |member: u64| (mix(member ^ mix(part + 1)), member);
        let may_have = |given: usize| given < each || (given == each && more > 0);
        let candidates = given.iter_mut().filter(|(_, given)| may_have(*given));
        let Some((best, given)) = candidates.max_by_key(|(member, _)| liking(*member)) else { continue };
        more -= usize::from(*given == each);
        *given += 1;
        *is_own = *best == member;
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: usize = 32;

    fn owners(members: &[u64]) -> Vec<u64> {
        let shares: Vec<_> =
            members.iter().map(|member| (*member, share_of(members, *member, PARTS))).collect();
        let owner = |part: usize| {
            let owners: Vec<u64> =
                shares.iter().filter(|(_, share)| share[part]).map(|(member, _)| *member).collect();
            assert_eq!(owners.len(), 1, "part {part} of {members:?}");
            owners[0]
        };
        (0..PARTS).map(owner).collect()
    }

    #[test]
    fn c2_every_part_has_one_owner_and_everybody_has_his_share() {
        for count in 1..=40_u64 {
            let members: Vec<u64> = (0..count).map(|n| n * 7 + 3).collect();
            let owners = owners(&members);
            let counts = members.iter().map(|member| owners.iter().filter(|owner| *owner == member).count());
            let (least, most) = counts.fold((usize::MAX, 0), |(least, most), n| (least.min(n), most.max(n)));
            assert!(most - least <= 1, "{count}: {least} to {most}");
        }
        assert_eq!(share_of(&[], 7, PARTS), [false; PARTS]);
        assert_eq!(share_of(&[1, 2], 7, PARTS), [false; PARTS], "whoever is no member has nothing");
    }

    #[test]
    fn few_parts_change_hands_when_somebody_comes_or_goes() {
        for count in 1..=8_u64 {
            let members: Vec<u64> = (0..count).map(|n| n * 13 + 5).collect();
            let more: Vec<u64> = members.iter().copied().chain([1_000]).collect();
            let (before, after) = (owners(&members), owners(&more));
            let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
            let fair = PARTS / more.len();
            assert!(moved <= 2 * fair + 2, "{count}: {moved} moved, {fair} would be the least");
        }
    }
}
