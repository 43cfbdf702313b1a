//! What is not read: extents and blocks that cannot match, or whose rows are known to match and are taken by metadata.

use std::sync::Arc;

use kyma_core::Result;
use kyma_core::extent::Extent;
use kyma_core::format::{BlockStats, Pruned};
use kyma_core::predicate::Predicate;
use kyma_core::prune::{Reason, StatsSource, evaluate};

use crate::scan::footers::Opened;
use crate::scan::queue::Cursor;
use crate::scan::{Known, ScanSpec};

/// Decides for one partition, by the filter as it was when it last looked.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    pub(super) spec: Arc<ScanSpec>,
    live: Option<(u64, Predicate)>,
    /// Who takes rows that need not be read, where the filter allows it.
    known: Option<Arc<dyn Known>>,
}

impl Gate {
    pub(super) fn new(spec: Arc<ScanSpec>) -> Self {
        // A path is read as a type that its values may not convert to: what is true of these is no proof.
        let is_allowed = spec.scope.shared.settings.prune && spec.is_exact() && !spec.query.predicate.has_path();
        let known = spec.known.clone().filter(|_| is_allowed);
        Gate { spec, live: None, known }
    }

    /// Looks whether the filter tightened.
    pub(super) fn refresh(&mut self) {
        if !self.spec.scope.shared.settings.prune {
            return;
        }
        if let Some(live) = self.spec.live()
            && self.live.as_ref().is_none_or(|(generation, _)| *generation != live.0)
        {
            self.live = Some(live);
        }
    }

    /// Whether a filter that tightened excludes an extent.
    pub(super) fn excludes_extent(&self, extent: &Extent) -> bool {
        self.live.as_ref().is_some_and(|(_, predicate)| self.spec.query.evaluate(predicate, extent).is_none())
    }

    /// Whether it excludes a block.
    pub(super) fn excludes_block(&self, opened: &Opened, block: u32) -> bool {
        let Some((_, predicate)) = &self.live else { return false };
        let request = self.spec.query.prune_request(predicate, &[]);
        evaluate(predicate, &BlockStats { reader: &*opened.reader, block, request: &request }).is_none()
    }

    /// Who takes what need not be read, where every row of what `stats` describe matches.
    fn taker(&self, stats: &dyn StatsSource) -> Option<&dyn Known> {
        self.known.as_deref().filter(|_| evaluate(&self.spec.query.predicate, stats).is_all())
    }

    /// Takes an extent by its manifest.
    pub(super) fn takes_extent(&self, extent: &Extent) -> Result<bool> {
        let taken = match self.taker(&self.spec.query.stats(extent)) {
            Some(known) => known.extent(extent)?,
            None => false,
        };
        if taken {
            self.note_answered(u64::from(extent.blocks), true);
        }
        Ok(taken)
    }

    fn takes_opened(&self, extent: &Extent, opened: &Opened) -> Result<bool> {
        let taken = match self.taker(&self.spec.query.stats(extent)) {
            Some(known) => known.opened(&*opened.reader)?,
            None => false,
        };
        if taken {
            self.note_answered(opened.reader.block_rows().len() as u64, true);
        }
        Ok(taken)
    }

    /// Takes a block by its statistics.
    pub(super) fn takes_block(&self, opened: &Opened, block: u32) -> Result<bool> {
        let request = self.spec.query.prune_request(&self.spec.query.predicate, &[]);
        let taken = match self.taker(&BlockStats { reader: &*opened.reader, block, request: &request }) {
            Some(known) => known.block(&*opened.reader, block)?,
            None => false,
        };
        if taken {
            self.note_answered(1, false);
        }
        Ok(taken)
    }

    /// Counts blocks that were answered from metadata: of a whole extent, or one of an open extent, counted already.
    fn note_answered(&self, blocks: u64, is_extent: bool) {
        if is_extent {
            self.note_extent(None, 1);
        }
        self.spec.scope.note(|profile| {
            profile.metadata_answers += u64::from(is_extent);
            profile.metadata_blocks += blocks;
            if is_extent {
                profile.blocks.considered += blocks;
                profile.blocks.kept += blocks;
            }
        });
    }

    /// Opens an extent and prunes its blocks; `None` when its rows were taken by the footer.
    pub(super) async fn open(&self, place: usize, extent: &Extent) -> Result<Option<Cursor>> {
        let spec = Arc::clone(&self.spec);
        let scope = &spec.scope;
        let opened = scope.shared.footers.open(scope, extent).await?;
        if self.takes_opened(extent, &opened)? {
            return Ok(None);
        }
        let candidates: Vec<u32> = (0..opened.reader.block_rows().len() as u32).collect();
        let pruned = match scope.shared.settings.prune && spec.query.predicate != Predicate::True {
            true => {
                let request = spec.query.prune_request(&spec.query.predicate, &candidates);
                scope.scan_times.prune.compute(opened.reader.prune(&*opened.source, &request)).await?
            }
            false => Pruned { blocks: candidates.clone(), ..Pruned::default() },
        };
        let kept = pruned.blocks.len() as u64;
        let reason = pruned.reasons.iter().max_by_key(|(_, count)| **count).map(|(reason, _)| *reason);
        let lost = kept == 0 && !candidates.is_empty();
        self.note_extent(lost.then(|| reason.unwrap_or(Reason::Bounds)), 1);
        scope.note(|profile| {
            profile.blocks.considered += candidates.len() as u64;
            profile.blocks.kept += kept;
            for (reason, count) in &pruned.reasons {
                *profile.blocks.pruned.entry(*reason).or_default() += count;
            }
        });
        Ok(Some(Cursor { extent: place, opened, blocks: pruned.blocks.into(), rows: pruned.rows }))
    }

    pub(super) fn note_extent(&self, pruned: Option<Reason>, count: u64) {
        self.spec.scope.note(|profile| {
            profile.extents.considered += count;
            match pruned {
                Some(reason) => *profile.extents.pruned.entry(reason).or_default() += count,
                None => profile.extents.kept += count,
            }
        });
    }
}
