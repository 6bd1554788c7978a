//! For each engine a bridge of its own with a way out to the network.

use std::{fmt::Write as _, net::Ipv4Addr};

use anyhow::{Context, Result};
use fastbuild_testkit::env::EnginePart;

use crate::run::{program, run, succeeds};

/// Chooses /24 networks that no interface and no route of this machine uses; each as its first three numbers.
pub(super) fn free_networks<const N: usize>() -> Result<[String; N]> {
    let used = used_networks()?;
    let mut found = Vec::new();
    for _ in 0..1000 {
        let (second, third): (u8, u8) = (rand::random_range(24..32), rand::random_range(1..255));
        let candidate = Network {
            address: Ipv4Addr::new(172, second, third, 0).to_bits(),
            length: 24,
        };
        let name = format!("172.{second}.{third}");
        if !found.contains(&name) && !used.iter().any(|network| network.overlaps(candidate)) {
            found.push(name);
        }
        if found.len() == N {
            break;
        }
    }
    if let Ok(networks) = found.try_into() {
        return Ok(networks);
    }
    anyhow::bail!(
        "no free network was found between 172.24.0.0 and 172.31.255.255 for the engines' bridges"
    )
}

#[derive(Clone, Copy)]
struct Network {
    address: u32,
    length: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/').unwrap_or((text, "32"));
        Some(Self {
            address: address.parse::<Ipv4Addr>().ok()?.to_bits(),
            length: length.parse().ok().filter(|length| *length <= 32)?,
        })
    }

    fn overlaps(self, other: Self) -> bool {
        let shift = 32 - self.length.min(other.length);
        u64::from(self.address) >> shift == u64::from(other.address) >> shift
    }
}

/// What interfaces and routes use. The default route is a word, not a network, and so is left out.
fn used_networks() -> Result<Vec<Network>> {
    let addresses = run(&mut program("ip", &["-4", "-o", "address"]))?;
    let routes = run(&mut program("ip", &["-4", "route"]))?;
    let of_addresses = addresses
        .lines()
        .filter_map(|line| line.split_whitespace().nth(3));
    let of_routes = routes
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    Ok(of_addresses
        .chain(of_routes)
        .filter_map(Network::parse)
        .collect())
}

/// Makes the engine's bridge and its rules where they are missing.
pub(super) fn ensure_bridge(engine: &EnginePart) -> Result<()> {
    let bridge = &engine.bridge;
    if !bridge_is_there(engine) {
        run(&mut program(
            "ip",
            &["link", "add", "name", bridge, "type", "bridge"],
        ))?;
    }
    // Of itself a bridge has the least address of its ports. It would change when a container ends, and the others
    // would go on sending to the old one, to nobody, for most of a minute.
    let hardware_address = hardware_address(&engine.network)?;
    run(&mut program(
        "ip",
        &["link", "set", "dev", bridge, "address", &hardware_address],
    ))?;
    let address = format!("{}.1/24", engine.network);
    let addresses = run(&mut program(
        "ip",
        &["-4", "-o", "address", "show", "dev", bridge],
    ))?;
    if !addresses.contains(&address) {
        run(&mut program(
            "ip",
            &["address", "add", &address, "dev", bridge],
        ))?;
    }
    run(&mut program("ip", &["link", "set", bridge, "up"]))?;
    for rule in rules(engine) {
        if !succeeds(&mut rule.command("-C")) {
            run(&mut rule.command("-I"))?;
        }
    }
    Ok(())
}

/// The hardware address of a network's first host, as the engine forms those of containers: locally administered, and
/// the host's four numbers.
fn hardware_address(network: &str) -> Result<String> {
    let mut address = "02:42".to_owned();
    for number in network.split('.') {
        let number: u8 = number
            .parse()
            .with_context(|| format!("{network} is no network of this kind"))?;
        let _ = write!(address, ":{number:02x}");
    }
    Ok(address + ":01")
}

/// Whether the bridge exists.
pub(super) fn bridge_is_there(engine: &EnginePart) -> bool {
    succeeds(&mut program("ip", &["link", "show", "dev", &engine.bridge]))
}

/// Takes the engine's bridge and its rules away.
pub(super) fn remove_bridge(engine: &EnginePart) -> Result<()> {
    for rule in rules(engine) {
        while succeeds(&mut rule.command("-C")) {
            run(&mut rule.command("-D"))?;
        }
    }
    if bridge_is_there(engine) {
        run(&mut program("ip", &["link", "delete", &engine.bridge]))?;
    }
    Ok(())
}

struct Rule {
    table: &'static str,
    chain: &'static str,
    matches: Vec<String>,
}

impl Rule {
    fn command(&self, action: &str) -> std::process::Command {
        let mut command = program(
            "iptables",
            &["--wait", "-t", self.table, action, self.chain],
        );
        command.args(&self.matches);
        command
    }
}

/// The rules that let containers out and the answers in. The engines are told to make none themselves: an engine
/// that makes its own clears the chains of every other engine on the machine when it starts.
fn rules(engine: &EnginePart) -> [Rule; 3] {
    let bridge = &engine.bridge;
    let rule = |table, chain, text: String| Rule {
        table,
        chain,
        matches: text.split_whitespace().map(str::to_owned).collect(),
    };
    [
        rule(
            "nat",
            "POSTROUTING",
            format!("-s {}.0/24 ! -o {bridge} -j MASQUERADE", engine.network),
        ),
        rule("filter", "FORWARD", format!("-i {bridge} -j ACCEPT")),
        rule(
            "filter",
            "FORWARD",
            format!("-o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_overlap_when_one_holds_the_other() {
        let parse = |text| Network::parse(text).unwrap();
        assert!(parse("172.24.0.0/14").overlaps(parse("172.25.7.0/24")));
        assert!(parse("172.25.7.9").overlaps(parse("172.25.7.0/24")));
        assert!(!parse("172.17.0.0/16").overlaps(parse("172.25.7.0/24")));
        assert!(parse("0.0.0.0/0").overlaps(parse("172.25.7.0/24")));
        assert!(Network::parse("default").is_none());
    }

    #[test]
    fn a_bridge_has_the_hardware_address_of_its_own_ip_address() {
        assert_eq!(hardware_address("172.25.7").unwrap(), "02:42:ac:19:07:01");
        assert!(hardware_address("172.25.x").is_err());
    }
}
