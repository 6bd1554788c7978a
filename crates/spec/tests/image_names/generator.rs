//! Image names of valid and broken parts, the same for each seed on every machine.

/// The splitmix64 generator (Steele, Lea, Flood 2014): its numbers must never change, since a table was recorded with them.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap_or_default()
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<'text>(&mut self, from: &[&'text str]) -> &'text str {
        from[self.below(from.len())]
    }

    fn text(&mut self, alphabet: &str, length: usize) -> String {
        let characters: Vec<char> = alphabet.chars().collect();
        (0..length)
            .map(|_| characters[self.below(characters.len())])
            .collect()
    }
}

const HOSTS: &[&str] = &[
    "docker.io",
    "index.docker.io",
    "docker.io:443",
    "registry-1.docker.io",
    "DOCKER.IO",
    "localhost",
    "LOCALHOST",
    "localhost:5000",
    "harbor.example",
    "harbor.example:30003",
    "Harbor.Example",
    "REG",
    "Reg",
    "10.0.0.9",
    "10.0.0.9:30003",
    "[::1]",
    "[::1]:5000",
    "[fe80::1%eth0]",
    "[]",
    "[g::1]",
    "[2001:db8::9]:443",
    "2001:db8::9",
    "a.b-c.d",
    "-a.example",
    "a-.example",
    "a..example",
    ".example",
    "example.",
    "my_host.example",
    "my_host.example:5000",
    "h.example:",
    "h.example:5a",
    "h.example:99999",
    "höst.example",
    "team",
    "team:1",
    "library",
    "docker",
    "http:",
    "https://h.example",
];
const COMPONENTS: &[&str] = &[
    "debian",
    "python",
    "app",
    "library",
    "a",
    "0",
    "a.b",
    "a_b",
    "a__b",
    "a-b",
    "a--b",
    "a---b",
    "a___b",
    "a..b",
    "a._b",
    "a-_b",
    "_a",
    "a_",
    ".a",
    "a.",
    "-a",
    "a-",
    "App",
    "APP",
    "é",
    "版本",
    "a b",
    "",
    "docker.io",
    "index.docker.io",
    "localhost",
    "harbor.example",
    "scratch",
    "sha256",
    "a%b",
    "a+b",
    "a~b",
    "a$b",
    "x9.y8_z7-w6",
];
const TAGS: &[&str] = &[
    "latest",
    "1",
    "12",
    "1.0",
    "v1_2-3.4",
    "_1",
    "-1",
    ".1",
    "1.",
    "1-",
    "1+2",
    "版本1",
    "v１",
    "1234-сount",
    "",
    "A",
    "LATEST",
    "1:2",
    "1/2",
    "1 ",
    " 1",
    "1@2",
    "é",
];
const ALPHABET: &str = "abz09AZ._-/:@[]+ é";
const HEX: &str = "0123456789abcdef";

fn host(random: &mut Random) -> String {
    if random.one_in(8) {
        let length = 1 + random.below(12);
        return random.text("ab09AZ.-:_", length);
    }
    random.pick(HOSTS).to_owned()
}

fn component(random: &mut Random) -> String {
    match random.below(12) {
        0 => {
            let length = 1 + random.below(10);
            random.text("ab09._-", length)
        }
        1 => {
            let length = 60 + random.below(140);
            random.text("ab0", length)
        }
        2..=6 => random.pick(&COMPONENTS[..11]).to_owned(),
        _ => random.pick(COMPONENTS).to_owned(),
    }
}

fn tag(random: &mut Random) -> String {
    match random.below(6) {
        0 => {
            let length = 120 + random.below(14);
            random.text("aZ0._-", length)
        }
        1..=3 => random.pick(&TAGS[..6]).to_owned(),
        _ => random.pick(TAGS).to_owned(),
    }
}

fn digest(random: &mut Random) -> String {
    let algorithm = random.pick(&[
        "sha256",
        "sha256",
        "sha256",
        "sha256",
        "sha384",
        "sha512",
        "md5",
        "SHA256",
        "sha256+b64",
        "blake3",
        "",
    ]);
    let length = [64, 64, 64, 64, 96, 128, 128, 32, 63, 65, 0][random.below(11)];
    let mut hex = random.text(HEX, length);
    if random.one_in(10) {
        hex = hex.to_uppercase();
    }
    format!("{algorithm}:{hex}")
}

/// One name: parts put together, and now and then one character changed, added or taken.
fn name(random: &mut Random) -> String {
    if random.one_in(40) {
        let length = 1 + random.below(16);
        return random.text(ALPHABET, length);
    }
    if random.one_in(400) {
        return random.text(HEX, 64);
    }
    let mut name = String::new();
    if !random.one_in(3) {
        name = host(random);
        name.push('/');
    }
    let count = 1 + random.below(3);
    let components: Vec<String> = (0..count).map(|_| component(random)).collect();
    name.push_str(&components.join("/"));
    if random.one_in(2) {
        name.push(':');
        name.push_str(&tag(random));
    }
    if random.one_in(4) {
        name.push('@');
        name.push_str(&digest(random));
    }
    if random.one_in(10) {
        let mut characters: Vec<char> = name.chars().collect();
        let place = random.below(characters.len() + 1);
        let added = random.text(ALPHABET, 1);
        let end = (place + random.below(2)).min(characters.len());
        characters.splice(place..end, added.chars());
        name = characters.into_iter().collect();
    }
    name
}

/// The first `count` names of a seed.
pub(crate) fn names(seed: u64, count: usize) -> Vec<String> {
    let mut random = Random(seed);
    std::iter::repeat_with(|| name(&mut random))
        .filter(|name| !name.is_empty())
        .take(count)
        .collect()
}
