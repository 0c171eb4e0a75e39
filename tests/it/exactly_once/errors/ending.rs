//! How a process ends of which a worker has ended.

use super::*;

/// What is promised.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

#[test]
fn the_process_ends_with_its_worker_also_when_nothing_that_it_waits_for_ever_ends() {
    for works_wrongly in [None, Some("close-hangs"), Some("end-hangs")] {
        let mut world = World::new("errors-ending");
        world.works_wrongly = works_wrongly;
        // librdkafka gives the consumer up.
        world.comes_to(CUSTOMERS, Working, &[(Worker, Api::Heartbeat, Refused(FENCED_INSTANCE_ID))]);
        wait_until("a worker ends", LIMIT, || world.proxy.is_done());
        let mut instance = world.instance.take().expect("it was started");
        let status = instance.wait_for_end_within(ENDS_WITHIN);
        assert!(!status.success(), "{works_wrongly:?}: {status}");
        let log = instance.log();
        assert!(log.contains("customers/0"), "{works_wrongly:?}: it does not say why:\n{log}");
    }
}
