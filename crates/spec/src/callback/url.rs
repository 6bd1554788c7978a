//! The address of a callback: which ones are taken, and the host that deliveries are grouped by.

use url::Url;

use crate::failure::Sentence;

/// Longest callback address in bytes; longer ones are a mistake or an attack.
const LONGEST_URL: usize = 2048;

/// Why a callback address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackUrlError {
    /// It holds a user name or a password: it must not be repeated.
    HasLogin,
    /// It is no `http://` or `https://` address.
    NotHttp,
}

impl CallbackUrlError {
    /// What is allowed, for a person.
    pub fn allowed(self) -> Sentence {
        match self {
            Self::HasLogin => Sentence::new(
                "不能含有用户名或密码，因为回调地址会被保存和显示",
                "must not hold a user name or password, because callback addresses are stored and shown",
            ),
            Self::NotHttp => Sentence::new(
                "应为 http:// 或 https:// 开头的地址，或留空",
                "must be an http:// or https:// address, or empty",
            ),
        }
    }
}

/// The host of a callback address, by which deliveries are grouped; the whole text where it is no
/// address.
pub fn receiver(url: &str) -> String {
    Url::parse(url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_else(|| url.to_owned())
}

/// Checks a callback address: `http` or `https`, with a host, without a login in it.
///
/// # Errors
/// What it is instead.
pub fn check_callback_url(text: &str) -> Result<(), CallbackUrlError> {
    // The URL standard drops tabs and newlines silently; here they are mistakes.
    let plain =
        text.len() <= LONGEST_URL && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    let url = Url::parse(text)
        .ok()
        .filter(|_| plain)
        .ok_or(CallbackUrlError::NotHttp)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(CallbackUrlError::HasLogin);
    }
    let fits = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some_and(|host| !host.is_empty());
    fits.then_some(()).ok_or(CallbackUrlError::NotHttp)
}
