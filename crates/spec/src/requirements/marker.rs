//! Environment markers (PEP 508), checked and kept as they are: the installing tool evaluates them in the image's own
//! Python.

const VARIABLES: [&str; 17] = [
    "python_version",
    "python_full_version",
    "os_name",
    "os.name",
    "sys_platform",
    "sys.platform",
    "platform_release",
    "platform_system",
    "platform_version",
    "platform.version",
    "platform_machine",
    "platform.machine",
    "platform_python_implementation",
    "platform.python_implementation",
    "python_implementation",
    "implementation_name",
    "implementation_version",
];
/// Those are longest first, so that none hides another.
const OPERATORS: [&str; 8] = ["===", "~=", "==", "!=", "<=", ">=", "<", ">"];
/// Parentheses within each other; more would be a way to exhaust the stack.
const DEEPEST: usize = 20;

/// Whether a text is a marker.
pub(super) fn is_marker(text: &str) -> bool {
    let Some(tokens) = tokens(text) else {
        return false;
    };
    let mut rest = tokens.as_slice();
    any_of(&mut rest, 0) && rest.is_empty()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Value,
    Operator,
    In,
    Not,
    And,
    Or,
    Open,
    Close,
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t']);
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '\'' | '"' => {
                let inner = rest[1..].split_once(first)?.0;
                inner.chars().all(is_plain).then_some(())?;
                (Token::Value, inner.len() + 2)
            }
            _ => match OPERATORS.into_iter().find(|one| rest.starts_with(one)) {
                Some(operator) => (Token::Operator, operator.len()),
                None => word(rest)?,
            },
        };
        tokens.push(token);
        rest = rest[length..].trim_start_matches([' ', '\t']);
    }
    Some(tokens)
}

/// What a quoted text may have: nothing that ends a line or a word of pip's.
fn is_plain(character: char) -> bool {
    !character.is_control() && character != '\\'
}

fn word(rest: &str) -> Option<(Token, usize)> {
    let end = rest
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))
        .unwrap_or(rest.len());
    let token = match &rest[..end] {
        "and" => Token::And,
        "or" => Token::Or,
        "not" => Token::Not,
        "in" => Token::In,
        "extra" => Token::Value,
        word if VARIABLES.contains(&word) => Token::Value,
        _ => return None,
    };
    Some((token, end))
}

fn take(rest: &mut &[Token], token: Token) -> bool {
    let found = rest.first() == Some(&token);
    if found {
        *rest = &rest[1..];
    }
    found
}

fn any_of(rest: &mut &[Token], depth: usize) -> bool {
    loop {
        if !all_of(rest, depth) {
            return false;
        }
        if !take(rest, Token::Or) {
            return true;
        }
    }
}

fn all_of(rest: &mut &[Token], depth: usize) -> bool {
    loop {
        if !one(rest, depth) {
            return false;
        }
        if !take(rest, Token::And) {
            return true;
        }
    }
}

fn one(rest: &mut &[Token], depth: usize) -> bool {
    if take(rest, Token::Open) {
        return depth < DEEPEST && any_of(rest, depth + 1) && take(rest, Token::Close);
    }
    take(rest, Token::Value) && operator(rest) && take(rest, Token::Value)
}

fn operator(rest: &mut &[Token]) -> bool {
    if take(rest, Token::Not) {
        return take(rest, Token::In);
    }
    take(rest, Token::Operator) || take(rest, Token::In)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_told_from_other_texts() {
        for marker in [
            "python_version >= \"3.10\" and sys_platform == 'win32'",
            "python_version<'3'",
            "(os_name=='nt' or platform.machine in 'x86_64 aarch64')and extra != 'x'",
            "'linux' not in sys_platform",
            "implementation_name ~= 'c'",
        ] {
            assert!(is_marker(marker), "{marker}");
        }
        for other in [
            "",
            "python_version",
            "python_version >= 3",
            "python >= '3'",
            "python_version >= '3' and",
            "(python_version >= '3'",
            "python_version not '3'",
            "python_version >= '3",
            "python_version >= '3' ; os_name == 'nt'",
            "python_version >= '\\'",
        ] {
            assert!(!is_marker(other), "{other}");
        }
        assert!(!is_marker(&"(".repeat(100_000)));
    }
}
