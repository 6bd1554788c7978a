//! Turns program output into log lines: whole lines of bounded length, as a terminal would show
//! them in the end (carriage returns applied), without colours, control characters and secrets.

use secrecy::{ExposeSecret as _, SecretString};

/// Most bytes of a log line, not counting the mark of a cut.
pub const LONGEST_LINE: usize = 16 * 1024;
/// Bytes kept beyond [`LONGEST_LINE`], so that no secret is cut in two before it is masked.
const SLACK: usize = 1024;
/// Shorter secrets are not masked: that would shred the log and hide little.
const SHORTEST_MASKED: usize = 4;

/// Replaces secrets in text that people will read.
#[derive(Debug, Clone, Default)]
pub struct Mask(Vec<SecretString>);

impl Mask {
    /// A mask for these secrets; longer ones go first, as one may be part of another.
    pub fn new(secrets: impl IntoIterator<Item = SecretString>) -> Self {
        let mut secrets: Vec<SecretString> = secrets
            .into_iter()
            .filter(|secret| secret.expose_secret().len() >= SHORTEST_MASKED)
            .collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose_secret().len()));
        Self(secrets)
    }

    /// The text with `***` for every secret.
    pub fn apply(&self, text: String) -> String {
        self.0.iter().fold(text, |text, secret| {
            if text.contains(secret.expose_secret()) {
                text.replace(secret.expose_secret(), "***")
            } else {
                text
            }
        })
    }
}

/// A finished line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    text: String,
    /// Bytes that came after what `text` holds.
    cut: u64,
}

impl Line {
    /// A line of text that is whole already.
    pub fn whole(text: &str) -> Self {
        Self {
            text: tame(text.as_bytes()),
            cut: 0,
        }
    }

    /// The line without its secrets, within its bound, and marked where it was cut.
    pub fn shown(self, mask: &Mask) -> String {
        let mut text = mask.apply(self.text);
        let mut cut = self.cut;
        if text.len() > LONGEST_LINE {
            let end = text.floor_char_boundary(LONGEST_LINE);
            cut += (text.len() - end) as u64;
            text.truncate(end);
        }
        if cut > 0 {
            text = format!("{text} … [{cut} bytes cut]");
        }
        text
    }
}

/// A line under construction; output arrives in pieces of any size. Its memory is bounded,
/// whatever the length of the line.
#[derive(Debug, Clone, Default)]
pub struct OpenLine {
    bytes: Vec<u8>,
    cut: u64,
    /// Whether the last byte was a carriage return: what follows paints over the line, unless a
    /// line break does.
    returned: bool,
    /// What stood there before something painted over it.
    before: Vec<u8>,
}

impl OpenLine {
    /// Takes output and returns every line that ends in it.
    pub fn feed(&mut self, output: &[u8], mut ended: impl FnMut(Line)) {
        for piece in output.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let (text, end) = match piece.split_last() {
                Some((end @ (b'\n' | b'\r'), text)) => (text, Some(*end)),
                _ => (piece, None),
            };
            if !text.is_empty() {
                if self.returned {
                    self.paint_over();
                }
                self.returned = false;
                let room = (LONGEST_LINE + SLACK).saturating_sub(self.bytes.len());
                let (kept, cut) = text.split_at(text.len().min(room));
                self.bytes.extend_from_slice(kept);
                self.cut += cut.len() as u64;
            }
            match end {
                Some(b'\n') => ended(self.end()),
                Some(_) => self.returned = true,
                None => {}
            }
        }
    }

    /// The bytes it holds in memory.
    pub fn held(&self) -> usize {
        self.bytes.len() + self.before.len()
    }

    /// The line that was begun and not ended.
    pub fn close(&mut self) -> Option<Line> {
        let begun = !self.bytes.is_empty() || !self.before.is_empty();
        begun.then(|| self.end())
    }

    /// What comes next replaces what stands there.
    fn paint_over(&mut self) {
        if is_blank(&self.bytes) {
            self.bytes.clear();
        } else {
            self.before = std::mem::take(&mut self.bytes);
        }
        self.cut = 0;
    }

    fn end(&mut self) -> Line {
        let mut bytes = std::mem::take(&mut self.bytes);
        let before = std::mem::take(&mut self.before);
        // A bar that is wiped away at its end leaves its last state.
        if is_blank(&bytes) && !before.is_empty() {
            bytes = before;
        }
        let cut = std::mem::take(&mut self.cut);
        self.returned = false;
        if cut > 0 {
            // A character that was cut in two is none.
            let whole = match std::str::from_utf8(&bytes) {
                Err(error) if error.error_len().is_none() => error.valid_up_to(),
                _ => bytes.len(),
            };
            bytes.truncate(whole);
        }
        Line {
            text: tame(&bytes),
            cut,
        }
    }
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_whitespace)
}

/// A line without its end, as a terminal shows it: no escape sequences (ECMA-48), no controls, and
/// nothing that turns the direction of text around; what is no UTF-8 is a replacement character.
fn tame(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => match characters.next() {
                // A control sequence ends with a character from @ to ~.
                Some('[') => {
                    for next in characters.by_ref() {
                        if ('@'..='~').contains(&next) {
                            break;
                        }
                    }
                }
                // A command of the system, a title for example, ends with BEL or ESC \.
                Some(']' | 'P' | '^' | '_' | 'X') => {
                    while let Some(next) = characters.next() {
                        if next == '\u{7}' {
                            break;
                        }
                        if next == '\u{1b}' {
                            characters.next_if_eq(&'\\');
                            break;
                        }
                    }
                }
                // Others have intermediate characters, and one that ends them.
                Some(' '..='/') => {
                    for next in characters.by_ref() {
                        if !(' '..='/').contains(&next) {
                            break;
                        }
                    }
                }
                _ => {}
            },
            '\u{8}' => {
                out.pop();
            }
            '\t' => out.push('\t'),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            other if other.is_control() => {}
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of output that comes in pieces.
    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let mut open = OpenLine::default();
        let mut lines = Vec::new();
        for piece in pieces {
            open.feed(piece, |line| lines.push(line.shown(&Mask::default())));
        }
        lines.extend(open.close().map(|line| line.shown(&Mask::default())));
        lines
    }

    #[test]
    fn colours_titles_and_controls_go() {
        for (printed, shown) in [
            ("\u{1b}[1;31mred\u{1b}[0m text", "red text"),
            ("\u{1b}]0;title\u{7}text", "text"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{1b}(Btext\u{1b}7", "text"),
            ("a\tb\u{0}\u{7f}\u{9b}c", "a\tbc"),
            ("typpo\u{8}\u{8}o", "typo"),
            ("safe\u{202e}txt.exe", "safetxt.exe"),
            ("bad \u{1b}[", "bad "),
        ] {
            assert_eq!(lines(&[printed.as_bytes()]), [shown], "{printed:?}");
        }
        assert_eq!(lines(&[b"caf\xe9 \xff\n"]), ["caf\u{fffd} \u{fffd}"]);
    }

    #[test]
    fn a_progress_bar_is_what_it_shows_last() {
        assert_eq!(lines(&[b"  1%\r 50%\r100%\nnext\r\n"]), ["100%", "next"]);
        assert_eq!(lines(&[b"100%\r    \r\n"]), ["100%"]);
        assert_eq!(lines(&[b" 1%\r", b" 2%", b"\r", b"\n"]), [" 2%"]);
        // A bar of any length holds one line.
        let mut open = OpenLine::default();
        for number in 0..100_000 {
            open.feed(format!("\r{number:>50}").as_bytes(), |_| {
                panic!("no line ended")
            });
        }
        assert!(open.held() < 200);
    }

    #[test]
    fn a_line_is_cut_and_says_so_however_it_comes() {
        let whole = vec![b'x'; 10_000_000];
        for size in [1_000, 65_536, 10_000_000] {
            let pieces: Vec<&[u8]> = whole.chunks(size).collect();
            let lines = lines(&pieces);
            assert_eq!(lines.len(), 1);
            assert_eq!(&lines[0][..LONGEST_LINE], &"x".repeat(LONGEST_LINE));
            assert_eq!(&lines[0][LONGEST_LINE..], " … [9983616 bytes cut]");
        }
        let wide = "é".repeat(LONGEST_LINE);
        let lines = lines(&[wide.as_bytes()]);
        assert!(!lines[0].contains('\u{fffd}'));
    }

    #[test]
    fn secrets_are_masked_across_pieces_and_at_the_cut() {
        let mask = Mask::new(["Alkaid123456", " ", "harbor-pw", "harbor"].map(SecretString::from));
        let shown = |pieces: &[&str]| {
            let mut open = OpenLine::default();
            let mut shown = String::new();
            for piece in pieces {
                open.feed(piece.as_bytes(), |line| shown += &line.shown(&mask));
            }
            open.close()
                .map_or(shown.clone(), |line| shown + &line.shown(&mask))
        };
        assert_eq!(
            shown(&["login har", "bor-pw as Alk", "aid123456 ok"]),
            "login *** as *** ok"
        );
        assert_eq!(shown(&["Alk\u{1b}[1maid123456"]), "***");
        // However the cut falls, nothing of a secret is left before it.
        for offset in 0..20 {
            let line = format!(
                "{}Alkaid123456{}",
                "x".repeat(LONGEST_LINE - offset),
                "y".repeat(5000)
            );
            let shown = shown(&[&line]);
            assert!(
                !shown.contains("Alk"),
                "{offset}: {}",
                &shown[shown.len() - 60..]
            );
        }
    }
}
