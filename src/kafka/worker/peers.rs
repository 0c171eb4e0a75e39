//! The other members of the group: whether they are of the same deployment. Why, and how that is seen:
//! [`Terms`](crate::kafka::terms::Terms).

use std::thread;
use std::time::{Duration, Instant};

use super::Worker;
use crate::engine::Stage;
use crate::kafka::client::ask::Member;
use crate::kafka::error::{Disagreement, WorkerError};
use crate::kafka::terms::name_of;
use crate::status;

/// Between two looks at a group that somebody else is in.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a group that can't be looked at keeps this worker from joining: it looks again at its first assignment.
const LOOK_WITHIN: Duration = Duration::from_secs(3);
/// By how much a member that gives no sign of life may outlive its session.
const OUTLIVES: Duration = Duration::from_secs(5);

impl<S: Stage> Worker<S> {
    /// Looks who is in the group, before joining it. Who died without leaving is in it until its session is over, so a member that
    /// differs is waited for as long. `false`: told to stop meanwhile.
    ///
    /// # Errors
    /// Somebody who is alive is of another deployment.
    pub(super) fn look_before_joining(&mut self) -> Result<bool, WorkerError> {
        let began = Instant::now();
        let mut said = false;
        while !self.is_stopping() {
            self.status.beat();
            match self.watcher.members(&self.group_id) {
                Ok(members) => match self.disagreement(&members) {
                    None => {
                        self.status.set_phase(status::Phase::Starting);
                        return Ok(true);
                    }
                    Some(disagreement) if began.elapsed() > self.session + OUTLIVES => return Err(disagreement.into()),
                    Some(disagreement) => {
                        if !std::mem::replace(&mut said, true) {
                            tracing::warn!(worker = %self.status, %disagreement, "waiting to see whether it is alive");
                            self.status.set_phase(status::Phase::Waiting(disagreement.to_string()));
                        }
                    }
                },
                Err(error) => {
                    tracing::debug!(%error, worker = %self.status, "the group can't be looked at");
                    if began.elapsed() > LOOK_WITHIN && !said {
                        return Ok(true);
                    }
                }
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(false)
    }

    /// Looks who else has joined, before the first assignment is taken up: two that started at one moment have not seen each
    /// other before.
    ///
    /// # Errors
    /// Somebody is of another deployment.
    pub(super) fn look_at_first_assignment(&mut self) -> Result<(), WorkerError> {
        if self.state.has_met_peers || !self.offsets_are_kept {
            return Ok(());
        }
        match self.watcher.members(&self.group_id) {
            Ok(members) => match self.disagreement(&members) {
                Some(disagreement) => Err(disagreement.into()),
                None => {
                    self.state.has_met_peers = true;
                    Ok(())
                }
            },
            Err(error) => {
                tracing::debug!(%error, worker = %self.status, "the group can't be looked at");
                Ok(())
            }
        }
    }

    /// Of the first member that differs. This worker itself may have been killed a moment ago, with another configuration.
    fn disagreement(&self, members: &[Member]) -> Option<Disagreement> {
        members.iter().filter(|member| name_of(&member.client_id) != self.pipeline.transactional_id).find_map(
            |member| {
                let keys = self.terms.other_keys(&member.client_id);
                (!keys.is_empty()).then(|| Disagreement {
                    group: self.group_id.clone(),
                    client: name_of(&member.client_id).to_owned(),
                    host: member.host.clone(),
                    keys: keys.join(", "),
                })
            },
        )
    }
}
