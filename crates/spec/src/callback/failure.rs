//! Why a receiver did not take a callback, for people.
//!
//! An attempt is recorded with the answer's status, or with one line of text in its place. That
//! line begins with the [`Unanswered`] it is, so that what is on record can be told in either
//! language later.

use strum::{EnumIter, IntoEnumIterator as _, IntoStaticStr};

use super::receiver;
use crate::failure::{Failure, ReasonCode};

/// Why there was no answer. Its text begins the line that is recorded; it is never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, IntoStaticStr)]
pub enum Unanswered {
    /// The receiver's name has no address.
    #[strum(serialize = "its name cannot be resolved")]
    NotResolved,
    /// Nothing listens at its port.
    #[strum(serialize = "the connection was refused")]
    Refused,
    /// The receiver's certificate was not accepted, or it speaks no TLS.
    #[strum(serialize = "the TLS connection failed")]
    Tls,
    /// It did not answer within the time a callback has.
    #[strum(serialize = "the receiver did not answer in time")]
    TimedOut,
    /// The connection could not be made or broke off, for any other reason.
    #[strum(serialize = "the connection failed")]
    Broken,
}

impl Unanswered {
    /// The line that is recorded.
    pub fn line(self, detail: &str) -> String {
        let start: &str = self.into();
        if detail.is_empty() {
            start.to_owned()
        } else {
            format!("{start}: {detail}")
        }
    }

    fn of_line(line: &str) -> Option<(Self, &str)> {
        Self::iter().find_map(|kind| {
            let rest = line.strip_prefix(<&str>::from(kind))?;
            Some((kind, rest.trim_start_matches([':', ' '])))
        })
    }
}

/// Why an attempt to deliver a callback to `url` failed; `None` for one that was delivered.
/// `unanswered` is what was recorded where there was no answer.
pub fn delivery_failure(
    url: &str,
    status: Option<u16>,
    unanswered: Option<&str>,
) -> Option<Failure> {
    let host = receiver(url);
    let failure = match (status, unanswered) {
        (Some(200..300), _) | (None, None) => return None,
        (Some(status), _) => rejected(&host, status),
        (None, Some(line)) => match Unanswered::of_line(line) {
            Some((kind, detail)) => no_answer(&host, kind, detail),
            // Lost with its process, or recorded by an old installation.
            None => Failure::new(
                ReasonCode::CallbackUnreachable,
                format!("未能确认回调接收方 {host} 已收到回调：{line}。"),
                format!("It is not known whether the callback reached {host}: {line}."),
            ),
        },
    };
    Some(failure.with_culprit(host))
}

fn no_answer(host: &str, kind: Unanswered, detail: &str) -> Failure {
    let (code, zh, en) = match kind {
        Unanswered::NotResolved => (
            ReasonCode::CallbackUnreachable,
            format!("无法解析回调接收方的主机名 {host}。"),
            format!("The name of the callback's receiver {host} cannot be resolved."),
        ),
        Unanswered::Refused => (
            ReasonCode::CallbackUnreachable,
            format!("回调接收方 {host} 拒绝了连接：该端口上没有服务在监听。"),
            format!(
                "The callback's receiver {host} refused the connection: nothing listens at that port."
            ),
        ),
        Unanswered::Tls => (
            ReasonCode::CallbackTlsFailed,
            format!("与回调接收方 {host} 的 TLS 连接失败：{detail}。"),
            format!("The TLS connection to the callback's receiver {host} failed: {detail}."),
        ),
        Unanswered::TimedOut => (
            ReasonCode::CallbackUnreachable,
            format!("回调接收方 {host} 未在规定时间内应答。"),
            format!("The callback's receiver {host} did not answer in time."),
        ),
        Unanswered::Broken => (
            ReasonCode::CallbackUnreachable,
            format!("与回调接收方 {host} 的连接失败：{detail}。"),
            format!("The connection to the callback's receiver {host} failed: {detail}."),
        ),
    };
    let failure = Failure::new(code, zh, en);
    match kind {
        Unanswered::NotResolved => failure.with_hint(
            "请检查 callback_url 中的主机名，以及 FastBuild 所在机器的 DNS 配置。",
            "Check the host name in callback_url, and the DNS settings of the machine FastBuild runs on.",
        ),
        Unanswered::TimedOut => failure.with_hint(
            "请让接收方先应答再处理，或请管理员调高 callbacks.timeout_seconds。",
            "Let the receiver answer before it works on the callback, or ask the operator to raise callbacks.timeout_seconds.",
        ),
        _ => failure,
    }
}

fn rejected(host: &str, status: u16) -> Failure {
    let failure = Failure::new(
        ReasonCode::CallbackRejected,
        format!("回调接收方 {host} 应答了 HTTP 状态 {status}，未接受回调。"),
        format!(
            "The callback's receiver {host} answered with HTTP status {status} and did not take the callback."
        ),
    );
    match status {
        300..400 => failure.with_hint(
            "FastBuild 不跟随重定向，请将 callback_url 改为最终地址。",
            "FastBuild does not follow redirects: give the final address as callback_url.",
        ),
        401 | 403 => failure.with_hint(
            "请检查接收方所要求的凭据，并通过 config/update-headers 或签名密钥设置。",
            "Check which credentials the receiver asks for, and set them with config/update-headers or as the signing secret.",
        ),
        404 | 405 | 410 => failure.with_hint(
            "请检查 callback_url 的路径是否正确，以及接收方是否在该路径接受 POST。",
            "Check the path of callback_url, and that the receiver takes POST there.",
        ),
        400..500 => failure,
        _ => failure.with_hint(
            "请查看接收方的日志；FastBuild 会按计划自动重试。",
            "Look into the receiver's log; FastBuild tries again on its schedule.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://platform.example:8443/hook?token=secret";

    #[test]
    fn delivered_attempt_has_no_failure() {
        assert_eq!(delivery_failure(URL, Some(204), None), None);
    }

    #[test]
    fn every_failure_names_receiver_and_remedy_in_both_languages_without_the_query() {
        let unanswered = Unanswered::iter().map(|kind| (None, Some(kind.line("because"))));
        let answered = [302, 400, 401, 404, 500, 503].map(|status| (Some(status), None));
        let lost = (None, Some("the service ended during this try".to_owned()));
        let mut hints = Vec::new();
        for (status, line) in unanswered.chain(answered).chain([lost]) {
            let failure = delivery_failure(URL, status, line.as_deref()).unwrap();
            let said = format!("{failure:?}");
            assert!(failure.message.zh.contains("platform.example"), "{said}");
            assert!(failure.message.en.contains("platform.example"), "{said}");
            assert!(!failure.hint.zh.is_empty() && !failure.hint.en.is_empty());
            assert!(!said.contains("token=secret"), "{said}");
            hints.push(failure.hint.en);
        }
        assert!(hints[5].contains("redirects"), "{hints:?}");
    }

    #[test]
    fn recorded_line_is_read_back() {
        for kind in Unanswered::iter() {
            assert_eq!(
                Unanswered::of_line(&kind.line("x: y")),
                Some((kind, "x: y"))
            );
            assert_eq!(Unanswered::of_line(&kind.line("")), Some((kind, "")));
        }
    }
}
