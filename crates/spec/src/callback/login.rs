//! Splits `user:password@` off callback addresses. Old installations accepted them; here addresses
//! are stored and shown, so an imported login becomes an `Authorization` header.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use url::Url;

/// The header that says what a login in an address says (RFC 7617).
pub const LOGIN_HEADER: &str = "Authorization";

/// An address without the login that stood in it.
#[derive(Debug, Clone)]
pub struct PartedAddress {
    /// The address; the text as it was where there was no login in it.
    pub url: String,
    /// The value of [`LOGIN_HEADER`] that says the same as the login.
    pub login: Option<SecretString>,
}

/// Splits the login off an address. `None` where the text may contain a login but is no address.
pub fn part_login(text: &str) -> Option<PartedAddress> {
    let without = |url: &str| PartedAddress {
        url: url.to_owned(),
        login: None,
    };
    let url = Url::parse(text).ok().filter(Url::has_host);
    let Some(mut url) = url else {
        return (!text.contains('@')).then(|| without(text));
    };
    if url.username().is_empty() && url.password().is_none() {
        return Some(without(text));
    }
    let mut pair = percent_decode_str(url.username()).collect::<Vec<u8>>();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    let pair = SecretSlice::from(pair);
    let login = format!("Basic {}", STANDARD.encode(pair.expose_secret()));
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    Some(PartedAddress {
        url: url.to_string(),
        login: Some(login.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parted(text: &str) -> Option<(String, Option<String>)> {
        let parted = part_login(text)?;
        let login = parted.login.map(|login| login.expose_secret().to_owned());
        Some((parted.url, login))
    }

    #[test]
    fn a_login_leaves_the_address_and_becomes_a_header() {
        // The example of RFC 7617, section 2.
        let (url, login) = parted("http://Aladdin:open%20sesame@p.site:8080/cb?a=b@c").unwrap();
        assert_eq!(url, "http://p.site:8080/cb?a=b@c");
        assert_eq!(login.as_deref(), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        let (url, login) = parted("https://token@p.site/cb").unwrap();
        assert_eq!(
            (url.as_str(), login.as_deref()),
            ("https://p.site/cb", Some("Basic dG9rZW46"))
        );
        assert_eq!(parted("http://:x@p.site/").unwrap().0, "http://p.site/");
    }

    #[test]
    fn what_has_no_login_stays_as_it_is() {
        for text in ["http://p/cb", "http://p/a@b", "", "none", "p.site/cb"] {
            assert_eq!(parted(text), Some((text.to_owned(), None)), "{text}");
        }
    }

    #[test]
    fn what_may_hold_a_login_and_is_no_address_is_not_taken() {
        for text in [
            "user:password@p.site/cb",
            "user@p",
            "http://u:p@",
            "//u:p@h/",
        ] {
            assert_eq!(parted(text), None, "{text}");
        }
    }
}
