//! What tells live instances apart: `kafka.instance_id`, else the host's name where this process is the only one of the
//! application on it, else something random.

use std::fs::{self, File};

use rand::Rng;

/// The id of this instance, held until it is dropped.
#[derive(Debug)]
pub struct Instance {
    id: String,
    /// Locked while the host's name is used as an id; the operating system unlocks it however the process ends.
    _lock: Option<File>,
}

impl Instance {
    /// Takes the configured id, or finds one.
    pub fn claim(configured: Option<&str>, application_id: &str) -> Instance {
        if let Some(id) = configured {
            return Instance { id: id.to_owned(), _lock: None };
        }
        let host = host_name();
        match host.as_deref().and_then(|host| lock_host(application_id, host)) {
            Some((id, lock)) => Instance { id, _lock: Some(lock) },
            None => Instance { id: random_id(host.as_deref()), _lock: None },
        }
    }

    pub fn id(&self) -> &str {
        &self.id
    }
}

/// The host's name, in letters that an id may have.
fn host_name() -> Option<String> {
    let from_kernel = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = from_kernel.or_else(|| std::env::var("HOSTNAME").ok())?;
    let legal = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = name.trim().chars().take(64).map(legal).collect();
    (!name.is_empty()).then_some(name)
}

/// The host's name as id, if no other process here has it.
fn lock_host(application_id: &str, host: &str) -> Option<(String, File)> {
    // What all processes of a host share, unless they are told otherwise.
    let folder = std::env::temp_dir().join("payback");
    fs::create_dir_all(&folder).ok()?;
    let path = folder.join(format!("{application_id}.{host}.lock"));
    let file = File::options().create(true).truncate(false).write(true).open(path).ok()?;
    file.try_lock().ok()?;
    Some((host.to_owned(), file))
}

fn random_id(host: Option<&str>) -> String {
    let number: u64 = rand::rng().next_u64();
    format!("{}-{number:016x}", host.unwrap_or("payback"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_id_is_taken_as_it_is() {
        assert_eq!(Instance::claim(Some("a"), "app").id(), "a");
    }

    #[test]
    fn two_instances_on_a_host_have_different_ids() {
        let application = random_id(None);
        let first = Instance::claim(None, &application);
        let second = Instance::claim(None, &application);
        assert_ne!(first.id(), second.id());
    }
}
