//! An end of a transaction that the broker gets late. Its connection broke, so librdkafka has asked again, by itself, and was told
//! that it is done; then the first request comes, and would end the transaction that is open by now, of which half is there.

use super::*;

/// The end of a transaction of each of these stages comes late, and the broker refuses it.
fn is_fenced(world: &mut World, stages: &[&str]) {
    for stage in stages {
        world.comes_to(stage, Working, &[(Worker, Api::EndTxn, Straggles)]);
        world.wait("the broker gets the end of a transaction late", |proxy, _| !proxy.kept().is_empty());
        let answers = world.proxy.kept();
        let is_fenced = |answer: &i16| [INVALID_PRODUCER_EPOCH, PRODUCER_FENCED].contains(answer);
        assert!(answers.iter().all(is_fenced), "of {stage} it takes {answers:?}");
        let before = commits(world.running(), stage);
        world.wait("it goes on", |_, instance| commits(instance, stage) >= before + 2.0);
        world.proxy.behave();
    }
    assert!(!world.running().has_ended());
}

#[test]
fn an_end_of_a_transaction_that_comes_late_ends_no_other() {
    all("errors-straggling", |world| is_fenced(world, &[CUSTOMERS, CAMPAIGNS, CUSTOMERS]));
}

/// librdkafka waits no longer than `retry.backoff.max.ms`, a second, whatever `retry.backoff.ms` is.
#[test]
fn nor_does_it_where_requests_are_to_be_repeated_after_longer_than_they_are() {
    all_under_less("errors-straggling-slowly", |world| {
        world.backs_off = Some("5000");
        is_fenced(world, &[CUSTOMERS, CAMPAIGNS]);
    });
}
