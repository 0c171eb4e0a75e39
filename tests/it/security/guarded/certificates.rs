//! Certificates as an authority issues them, made anew in each run.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// An authority that only those trust who have its certificate.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        Authority { issuer: Issuer::new(params, key), certificate }
    }

    /// As PEM.
    pub fn certificate(&self) -> String {
        self.certificate.clone()
    }

    /// A key and a certificate for a common name and addresses, in one PEM.
    pub fn issue(&self, name: &str, addresses: &[&str]) -> String {
        let key = KeyPair::generate().expect("a key");
        let certificate = params(name, addresses).signed_by(&key, &self.issuer).expect("a certificate");
        key.serialize_pem() + &certificate.pem() + &self.certificate
    }
}

fn params(name: &str, addresses: &[&str]) -> CertificateParams {
    let addresses: Vec<String> = addresses.iter().map(|address| (*address).to_owned()).collect();
    let mut params = CertificateParams::new(addresses).expect("good addresses");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
