//! User names and passwords: from an address, from the section's keys, from a file or a credential of the service.
//!
//! Pure, like the rest of resolving: how a file is read is an argument.

use std::path::Path;

use super::resolve::Resolver;
use super::{Login, Secret, Secrets};

/// The three keys that make a login, and the section in which they stand.
pub(super) struct LoginKeys<'a> {
    pub(super) section: &'a str,
    pub(super) username: Option<&'a str>,
    pub(super) password: Option<&'a str>,
    pub(super) password_file: Option<&'a str>,
    pub(super) in_url: Option<(String, String)>,
}

impl Resolver<'_> {
    pub(super) fn login(&mut self, keys: LoginKeys<'_>) -> Option<Login> {
        let key = |name: &str| format!("{}.{name}", keys.section);
        if let Some((username, password)) = keys.in_url {
            for (name, set) in
                [("username", keys.username), ("password", keys.password), ("password_file", keys.password_file)]
            {
                if set.is_some() {
                    self.error(&key(name), "set, and the address has a login as well; keep one of them");
                }
            }
            let password = self.expanded(&key("password"), &password);
            return Some(Login { username, password: Secret::new(password) });
        }
        let password = match (keys.password, keys.password_file) {
            (Some(_), Some(_)) => {
                self.error(&key("password_file"), "set beside `password`; keep one of them");
                None
            }
            (Some(password), None) => Some(self.expanded(&key("password"), password)),
            (None, Some(file)) => Some(self.secret(&key("password_file"), Path::new(file))),
            (None, None) => None,
        };
        let Some(username) = keys.username else {
            if password.is_some() {
                self.error(&key("username"), "missing; a password needs a user name");
            }
            return None;
        };
        let username = self.expanded(&key("username"), username);
        Some(Login { username, password: Secret::new(password.unwrap_or_default()) })
    }

    /// `${credential:NAME}` → what the file NAME holds; anything else stays.
    fn expanded(&mut self, key: &str, typed: &str) -> String {
        let Some(name) = typed.strip_prefix("${credential:").and_then(|t| t.strip_suffix('}')) else {
            return typed.to_owned();
        };
        if name.is_empty() || name.len() > 255 || name.starts_with('.') || name.contains(['/', '\0']) {
            self.error(key, "no such credential can be: write ${credential:NAME} with the name of a file");
            return String::new();
        }
        let Some(dir) = self.around.credentials_dir.clone() else {
            match self.around.secrets {
                Secrets::All => {}
                Secrets::InFiles => {
                    let what = format!("the credential {name:?} was not looked at: only the service is given it");
                    self.warn(key, &what);
                    return String::new();
                }
                Secrets::None => return String::new(),
            }
            let problem = format!(
                "the credential {name:?} is asked for, but the service has none (CREDENTIALS_DIRECTORY is not set); add LoadCredential={name}:FILE to the unit"
            );
            self.error(key, problem);
            return String::new();
        };
        self.secret(key, &dir.join(name))
    }

    fn secret(&mut self, key: &str, path: &Path) -> String {
        if self.around.secrets == Secrets::None {
            return String::new();
        }
        match (self.read)(path) {
            Ok(text) => text.trim_end_matches(['\r', '\n']).to_owned(),
            Err(e) => {
                let problem = format!(
                    "{} cannot be read: {e}; write the secret into it, readable by the service",
                    path.display()
                );
                self.error(key, problem);
                String::new()
            }
        }
    }
}
