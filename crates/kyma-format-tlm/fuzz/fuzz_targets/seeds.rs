//! Writes the seeds of every target below the folder that is given.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: seeds FOLDER")?;
    for (at, (target, seed)) in kyma_format_tlm::fuzz::seeds()?.into_iter().enumerate() {
        let folder = Path::new(&folder).join(target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(format!("seed-{at:03}")), seed)?;
    }
    Ok(())
}
