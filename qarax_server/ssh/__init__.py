"""Other machines over SSH; the only importer of asyncssh. Next step up: `control/deployment/`."""
