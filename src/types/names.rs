//! Which of the known names somebody meant who wrote another one. Pure; for error messages only.

/// The known name nearest to `word`, if it is near enough to be a slip: at most a third of the letters differ, or the end is missing.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let wanted: Vec<char> = word.chars().collect();
    let allowed = (wanted.len() / 3).max(1);
    let is_cut = |name: &str| wanted.len() >= 3 && name.to_lowercase().starts_with(&word);
    known
        .into_iter()
        .map(|name| (edits(&wanted, &name.to_lowercase().chars().collect::<Vec<_>>()), name))
        .filter(|(distance, name)| *distance <= allowed || is_cut(name))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// " (did you mean "car"?)", or nothing when no name is near.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map_or_else(String::new, |name| format!(" (did you mean \"{name}\"?)"))
}

/// Levenshtein's distance: how many insertions, deletions and replacements of one letter turn one word into the other.
pub fn edits(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_name_that_was_meant_and_nonsense_finds_none() {
        let known = ["person", "bicycle", "car", "traffic light"];
        assert_eq!(nearest("Persn", known), Some("person"));
        assert_eq!(nearest("traffic_light", known), Some("traffic light"));
        assert_eq!(nearest("cat", known), Some("car"));
        assert_eq!(nearest("traf", known), Some("traffic light"));
        assert_eq!(nearest("xylophone", known), None);
        assert_eq!(nearest("", known), None);
    }
}
