//! An ordered, lossless box tree: what is read and written again is the same, byte by byte.

use std::borrow::Cow;

use super::{BoxError, BoxHeader, BoxPath, Fault, FourCc, Problem, Reader, SizeForm, TypedBox};

/// A tree holds at most this many boxes: ten times what a file of a thousand tracks has, and a bound on the
/// memory that hostile input can ask for.
pub const MAX_BOXES: usize = 200_000;

/// Boxes that hold boxes, with the bytes of fields in front of the first child.
const CONTAINERS: &[(&[u8; 4], usize)] = &[
    (b"moov", 0),
    (b"trak", 0),
    (b"edts", 0),
    (b"mdia", 0),
    (b"minf", 0),
    (b"dinf", 0),
    (b"dref", 8),
    (b"stbl", 0),
    (b"stsd", 8),
    (b"mvex", 0),
    (b"moof", 0),
    (b"traf", 0),
    (b"mfra", 0),
    (b"sinf", 0),
    (b"schi", 0),
    (b"wave", 0),
];

/// Sample entries that begin with the fields of a `VisualSampleEntry` (ISO/IEC 14496-12, 12.1.3).
const VISUAL_ENTRIES: &[&[u8; 4]] = &[
    b"avc1", b"avc2", b"avc3", b"avc4", b"hvc1", b"hev1", b"dvh1", b"dvhe", b"dva1", b"dvav", b"av01", b"vp08",
    b"vp09", b"vvc1", b"vvi1", b"mp4v", b"s263", b"encv", b"resv", b"mjpg", b"jpeg", b"apcn", b"apch", b"apcs",
    b"ap4h",
];

/// Sample entries that begin with the fields of an `AudioSampleEntry` (ISO/IEC 14496-12, 12.2.3).
const AUDIO_ENTRIES: &[&[u8; 4]] = &[
    b"mp4a", b"ac-3", b"ec-3", b"ac-4", b"Opus", b"fLaC", b"alac", b"enca", b"dtsc", b"dtsh", b"dtsl", b"dtse",
    b"dtsx", b"dtsy", b"mha1", b"mhm1", b"samr", b"sawb", b"sowt", b"twos", b"lpcm", b"ipcm", b"fpcm", b".mp3",
];

const VISUAL_ENTRY_FIELDS: usize = 78;
const AUDIO_ENTRY_FIELDS: usize = 28;

/// One box: a leaf with its payload, or a container with its children.
#[derive(Debug, Clone)]
pub struct Node<'a> {
    /// The box's type.
    pub kind: FourCc,
    /// The box and what it stands in.
    pub path: BoxPath,
    /// Bytes from the file's start to the box; zero for a box that was not read.
    pub offset: u64,
    form: SizeForm,
    /// What stands behind the header.
    pub content: Content<'a>,
}

/// What stands behind a box's header.
#[derive(Debug, Clone)]
pub enum Content<'a> {
    /// Bytes that the tree does not look into.
    Leaf(Cow<'a, [u8]>),
    /// Fields, then boxes, then bytes that are no box (some writers end a container with four zero bytes).
    Container {
        /// Fields in front of the children.
        fields: Cow<'a, [u8]>,
        /// The boxes, in order.
        children: Vec<Node<'a>>,
        /// What follows the last box.
        tail: Cow<'a, [u8]>,
    },
}

impl<'a> Node<'a> {
    /// Reads all boxes of `data`, which stands at `offset` of its file.
    ///
    /// # Errors
    /// [`BoxError`] at the first box whose structure can't be.
    pub fn parse_all(data: &'a [u8], offset: u64) -> Result<Vec<Self>, BoxError> {
        let (nodes, tail) = Parser::new(None).children(data, offset, BoxPath::default())?;
        if tail.is_empty() {
            return Ok(nodes);
        }
        let problem = Problem::Truncated {
            needed: 8,
            left: tail.len() as u64,
        };
        Err(BoxError {
            path: BoxPath::default(),
            offset: offset + (data.len() - tail.len()) as u64,
            problem,
        })
    }

    /// Reads what can be read of `data`, which stands at `offset` of its file, and what can't be into `errors`.
    ///
    /// A box that overruns what holds it ends there; bytes that are no box end what holds them.
    pub fn parse_lenient(data: &'a [u8], offset: u64, errors: &mut Vec<BoxError>) -> Vec<Self> {
        match Parser::new(Some(errors)).children(data, offset, BoxPath::default()) {
            Ok((nodes, _)) => nodes,
            Err(error) => {
                errors.push(error);
                Vec::new()
            }
        }
    }

    /// Reads the one box that `data` is.
    ///
    /// # Errors
    /// [`BoxError`] where `data` is not exactly one box.
    pub fn parse_one(data: &'a [u8], offset: u64) -> Result<Self, BoxError> {
        let mut nodes = Self::parse_all(data, offset)?;
        if let (Some(node), true) = (nodes.pop(), nodes.is_empty()) {
            return Ok(node);
        }
        let problem = Problem::Invalid("expected exactly one box".into());
        Err(BoxError {
            path: BoxPath::default(),
            offset,
            problem,
        })
    }

    /// A new leaf.
    #[must_use]
    pub fn leaf(kind: FourCc, payload: Vec<u8>) -> Self {
        Self::made(kind, Content::Leaf(payload.into()))
    }

    /// A new leaf of a typed box.
    #[must_use]
    pub fn of<T: TypedBox>(typed: &T) -> Self {
        let mut payload = Vec::new();
        typed.write_payload(&mut payload);
        Self::leaf(T::TYPE, payload)
    }

    /// A new container.
    #[must_use]
    pub fn container(kind: FourCc, children: Vec<Self>) -> Self {
        Self::made(
            kind,
            Content::Container {
                fields: Cow::default(),
                children,
                tail: Cow::default(),
            },
        )
    }

    fn made(kind: FourCc, content: Content<'a>) -> Self {
        let path = BoxPath::default().child(kind).unwrap_or_default();
        Self {
            kind,
            path,
            offset: 0,
            form: SizeForm::Compact,
            content,
        }
    }

    /// A copy that owns its bytes, without the boxes inside that `keep` refuses.
    #[must_use]
    pub fn copy_where(&self, keep: &impl Fn(&Self) -> bool) -> Node<'static> {
        let content = match &self.content {
            Content::Leaf(payload) => Content::Leaf(Cow::Owned(payload.to_vec())),
            Content::Container { fields, children, tail } => Content::Container {
                fields: Cow::Owned(fields.to_vec()),
                children: children
                    .iter()
                    .filter(|child| keep(child))
                    .map(|child| child.copy_where(keep))
                    .collect(),
                tail: Cow::Owned(tail.to_vec()),
            },
        };
        Node {
            kind: self.kind,
            path: self.path,
            offset: self.offset,
            form: self.form,
            content,
        }
    }

    /// Whether it may hold boxes.
    #[must_use]
    pub const fn is_container(&self) -> bool {
        matches!(self.content, Content::Container { .. })
    }

    /// Whether it is a sample entry that begins as a `VisualSampleEntry` does.
    #[must_use]
    pub fn is_visual_entry(&self) -> bool {
        self.is_sample_entry() && VISUAL_ENTRIES.contains(&&self.kind.0)
    }

    /// Whether it is a sample entry that begins as an `AudioSampleEntry` does.
    #[must_use]
    pub fn is_audio_entry(&self) -> bool {
        self.is_sample_entry() && AUDIO_ENTRIES.contains(&&self.kind.0)
    }

    fn is_sample_entry(&self) -> bool {
        matches!(self.path.types(), [.., parent, _] if parent.0 == *b"stsd")
    }

    /// The boxes inside, in order; none in a leaf.
    #[must_use]
    pub fn children(&self) -> &[Self] {
        match &self.content {
            Content::Leaf(_) => &[],
            Content::Container { children, .. } => children,
        }
    }

    /// The boxes inside, to change them; `None` in a leaf.
    pub fn children_mut(&mut self) -> Option<&mut Vec<Self>> {
        match &mut self.content {
            Content::Leaf(_) => None,
            Content::Container { children, .. } => Some(children),
        }
    }

    /// The fields in front of the children, or a leaf's payload.
    #[must_use]
    pub fn fields(&self) -> &[u8] {
        match &self.content {
            Content::Leaf(payload) => payload,
            Content::Container { fields, .. } => fields,
        }
    }

    /// The first child of a type.
    #[must_use]
    pub fn child(&self, kind: &[u8; 4]) -> Option<&Self> {
        self.children().iter().find(|child| child.kind.0 == *kind)
    }

    /// The first box down a path of types.
    #[must_use]
    pub fn descend(&self, kinds: &[&[u8; 4]]) -> Option<&Self> {
        kinds.iter().try_fold(self, |node, kind| node.child(kind))
    }

    /// The first box down a path of types, to change it.
    pub fn descend_mut(&mut self, kinds: &[&[u8; 4]]) -> Option<&mut Self> {
        kinds.iter().try_fold(self, |node, kind| {
            node.children_mut()?.iter_mut().find(|child| child.kind.0 == **kind)
        })
    }

    /// All children of a type.
    pub fn children_of(&self, kind: &[u8; 4]) -> impl Iterator<Item = &Self> {
        self.children().iter().filter(move |child| child.kind.0 == *kind)
    }

    /// The first box down a path of types.
    ///
    /// # Errors
    /// [`Problem::Missing`] naming the first type that is not there.
    pub fn require(&self, kinds: &[&[u8; 4]]) -> Result<&Self, BoxError> {
        kinds.iter().try_fold(self, |node, kind| {
            node.child(kind)
                .ok_or_else(|| node.error(0, Problem::Missing(FourCc(**kind))))
        })
    }

    /// Reads the payload as a typed box.
    ///
    /// # Errors
    /// [`BoxError`] at the byte where reading stopped.
    pub fn parse<T: TypedBox>(&self) -> Result<T, BoxError> {
        self.read(T::parse)
    }

    /// Reads the fields by `read`, which sees a container's fields or a leaf's payload.
    ///
    /// # Errors
    /// [`BoxError`] at the byte where reading stopped.
    pub fn read<'s, T>(&'s self, read: impl FnOnce(&mut Reader<'s>) -> Result<T, Fault>) -> Result<T, BoxError> {
        read(&mut Reader::new(self.fields())).map_err(|fault| self.error(fault.position, fault.problem))
    }

    /// Reads the first child of type `T`, if there is one.
    ///
    /// # Errors
    /// [`BoxError`] where it is there and can't be read.
    pub fn find<T: TypedBox>(&self) -> Result<Option<T>, BoxError> {
        self.child(&T::TYPE.0).map(Self::parse).transpose()
    }

    /// Bytes of the header: 8, or 16 with a 64-bit size.
    #[must_use]
    pub const fn header_bytes(&self) -> usize {
        self.form.header_bytes()
    }

    /// An error at a byte of this box's payload.
    #[must_use]
    pub fn error(&self, position: usize, problem: Problem) -> BoxError {
        BoxError {
            path: self.path,
            offset: self.offset + (self.form.header_bytes() + position) as u64,
            problem,
        }
    }

    /// An error in this box: a value that can't be.
    pub fn invalid(&self, what: impl Into<Cow<'static, str>>) -> BoxError {
        self.error(0, Problem::Invalid(what.into()))
    }

    /// An error in this box: valid, and not supported.
    pub fn unsupported(&self, what: impl Into<Cow<'static, str>>) -> BoxError {
        self.error(0, Problem::Unsupported(what.into()))
    }

    /// Bytes of the whole box as it would be written.
    #[must_use]
    pub fn size(&self) -> u64 {
        let content = match &self.content {
            Content::Leaf(payload) => payload.len() as u64,
            Content::Container { fields, children, tail } => {
                (fields.len() + tail.len()) as u64 + children.iter().map(Node::size).sum::<u64>()
            }
        };
        self.form.header_bytes() as u64 + content
    }

    /// Appends the box. One that outgrew a 32-bit size gets a 64-bit one.
    pub fn write(&self, out: &mut Vec<u8>) {
        let size = self.size();
        match (self.form, u32::try_from(size)) {
            (SizeForm::Compact, Ok(size)) => {
                out.extend_from_slice(&size.to_be_bytes());
                out.extend_from_slice(&self.kind.0);
            }
            (SizeForm::ToEnd, _) => {
                out.extend_from_slice(&0_u32.to_be_bytes());
                out.extend_from_slice(&self.kind.0);
            }
            (form, _) => {
                let grown = if form == SizeForm::Compact { 8 } else { 0 };
                out.extend_from_slice(&1_u32.to_be_bytes());
                out.extend_from_slice(&self.kind.0);
                out.extend_from_slice(&(size + grown).to_be_bytes());
            }
        }
        match &self.content {
            Content::Leaf(payload) => out.extend_from_slice(payload),
            Content::Container { fields, children, tail } => {
                out.extend_from_slice(fields);
                for child in children {
                    child.write(out);
                }
                out.extend_from_slice(tail);
            }
        }
    }
}

/// Reads boxes.
struct Parser<'e> {
    /// Boxes that may still come.
    budget: usize,
    /// Takes what is wrong, so that reading goes on behind it; without it, reading ends there.
    errors: Option<&'e mut Vec<BoxError>>,
}

impl<'e> Parser<'e> {
    const fn new(errors: Option<&'e mut Vec<BoxError>>) -> Self {
        Self {
            budget: MAX_BOXES,
            errors,
        }
    }

    /// Something is wrong: goes on, or ends with the error.
    fn wrong(&mut self, error: BoxError) -> Result<(), BoxError> {
        match &mut self.errors {
            Some(errors) => {
                errors.push(error);
                Ok(())
            }
            None => Err(error),
        }
    }

    /// Reads boxes until `data` ends; what follows the last box is the tail.
    fn children<'a>(
        &mut self,
        data: &'a [u8],
        offset: u64,
        parent: BoxPath,
    ) -> Result<(Vec<Node<'a>>, &'a [u8]), BoxError> {
        let mut nodes = Vec::new();
        let mut rest = data;
        while !is_tail(rest) {
            let at = offset + (data.len() - rest.len()) as u64;
            match self.child(rest, at, parent) {
                Ok((node, next)) => {
                    nodes.push(node);
                    rest = next;
                }
                Err(error) => {
                    self.wrong(error)?;
                    break;
                }
            }
        }
        Ok((nodes, rest))
    }

    /// Reads the box that `data` starts with, at `offset` of the file; returns what follows it too.
    fn child<'a>(&mut self, data: &'a [u8], offset: u64, parent: BoxPath) -> Result<(Node<'a>, &'a [u8]), BoxError> {
        let error = |problem| BoxError {
            path: parent,
            offset,
            problem,
        };
        let left = data.len() as u64;
        let header = BoxHeader::read(data, offset, left, parent)?;
        if let Some(overrun) = header.overrun(left, parent) {
            self.wrong(overrun)?;
        }
        self.budget = self.budget.checked_sub(1).ok_or_else(|| {
            error(Problem::TooMany {
                what: "boxes",
                limit: MAX_BOXES as u64,
            })
        })?;
        let path = parent.child(header.kind).ok_or_else(|| error(Problem::TooDeep))?;
        let size = usize::try_from(header.size).unwrap_or(usize::MAX).min(data.len());
        let (this, next) = data.split_at(size);
        let payload = this.get(header.form.header_bytes()..).unwrap_or_default();
        let node = Node {
            kind: header.kind,
            path,
            offset,
            form: header.form,
            content: self.content(payload, &header, path, parent)?,
        };
        Ok((node, next))
    }

    /// Reads what stands behind `header`.
    fn content<'a>(
        &mut self,
        payload: &'a [u8],
        header: &BoxHeader,
        path: BoxPath,
        parent: BoxPath,
    ) -> Result<Content<'a>, BoxError> {
        let Some(fields_bytes) = fields_before_children(header.kind, parent, payload) else {
            return Ok(Content::Leaf(payload.into()));
        };
        let Some((fields, boxes)) = payload.split_at_checked(fields_bytes) else {
            let problem = Problem::Truncated {
                needed: fields_bytes as u64,
                left: payload.len() as u64,
            };
            self.wrong(BoxError {
                path,
                offset: header.payload_offset(),
                problem,
            })?;
            return Ok(Content::Leaf(payload.into()));
        };
        let first = header.payload_offset() + fields_bytes as u64;
        let (children, tail) = self.children(boxes, first, path)?;
        Ok(Content::Container {
            fields: fields.into(),
            children,
            tail: tail.into(),
        })
    }
}

/// `QuickTime`'s end of a `wave` box: a box without a type.
const TERMINATOR: &[u8] = &[0, 0, 0, 8, 0, 0, 0, 0];

/// Whether what is left of a container can't start a box: too short, or zeros, which end a `QuickTime` container.
fn is_tail(rest: &[u8]) -> bool {
    rest == TERMINATOR || (rest.len() < 8 && rest.iter().all(|byte| *byte == 0))
}

/// Whether boxes of this type at the top of a file hold boxes.
pub(super) fn is_container(kind: FourCc) -> bool {
    fields_before_children(kind, BoxPath::default(), &[]).is_some()
}

/// Bytes of fields in front of a container's children; `None` for a leaf.
fn fields_before_children(kind: FourCc, parent: BoxPath, payload: &[u8]) -> Option<usize> {
    if parent.types().last().is_some_and(|parent| parent.0 == *b"stsd") {
        if VISUAL_ENTRIES.contains(&&kind.0) {
            return Some(VISUAL_ENTRY_FIELDS);
        }
        if AUDIO_ENTRIES.contains(&&kind.0) {
            // The QuickTime sound descriptions of version 1 and 2 have more fields; ISO files say 0.
            let extra = match payload.get(8..10) {
                Some([0, 1]) => 16,
                Some([0, 2]) => 36,
                _ => 0,
            };
            return Some(AUDIO_ENTRY_FIELDS + extra);
        }
        return None;
    }
    CONTAINERS
        .iter()
        .find(|(container, _)| **container == kind.0)
        .map(|(_, fields)| *fields)
}
