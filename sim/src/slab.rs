//! A flat list with places that are used again; a name that has lost its place names nothing.

/// Names one thing in a [`Slab`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    place: u32,
    turn: u32,
}

impl Name {
    /// For the hash chain.
    pub(crate) fn code(self) -> u64 {
        (u64::from(self.turn) << 32) | u64::from(self.place)
    }
}

#[derive(Clone)]
pub(crate) struct Slab<T> {
    places: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn insert(&mut self, thing: T) -> Name {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push((0, None));
            self.places.len() as u32 - 1
        });
        let (turn, held) = &mut self.places[place as usize];
        *turn += 1;
        *held = Some(thing);
        Name { place, turn: *turn }
    }

    /// All that is in it, with their places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.places.iter().enumerate().filter_map(|(place, (_, held))| Some((place, held.as_ref()?)))
    }

    pub(crate) fn get(&self, name: Name) -> Option<&T> {
        let (turn, held) = &self.places[name.place as usize];
        held.as_ref().filter(|_| *turn == name.turn)
    }

    pub(crate) fn get_mut(&mut self, name: Name) -> Option<&mut T> {
        let (turn, held) = &mut self.places[name.place as usize];
        held.as_mut().filter(|_| *turn == name.turn)
    }

    pub(crate) fn remove(&mut self, name: Name) -> Option<T> {
        let (turn, held) = &mut self.places[name.place as usize];
        if *turn != name.turn {
            return None;
        }
        let thing = held.take()?;
        self.free.push(name.place);
        Some(thing)
    }
}
