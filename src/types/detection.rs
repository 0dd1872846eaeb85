//! What a detector saw in one frame. How it is computed belongs to `detect`.

use std::sync::Arc;

use super::geometry::Rect;

/// Index into a model's [`ClassNames`].
pub type ClassId = u16;

/// One object in one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Where, in frame pixels.
    pub bbox: Rect,
    /// What, as an index into the model's class names.
    pub class: ClassId,
    /// How sure the model is, 0..1.
    pub score: f32,
}

/// The names of a model's classes, shared by whoever prints them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassNames(Arc<[String]>);

impl ClassNames {
    /// Names in the order of the model's outputs.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }

    /// The name of a class; a class outside the list is "unknown", since a model may have more outputs than its list has names.
    pub fn name(&self, class: ClassId) -> &str {
        self.0.get(usize::from(class)).map_or("unknown", String::as_str)
    }

    /// The class of this name.
    pub fn id(&self, name: &str) -> Option<ClassId> {
        self.0.iter().position(|n| n == name).and_then(|i| ClassId::try_from(i).ok())
    }

    /// How many classes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no class at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All names in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}
