//! The API people use, the pipeline, and the tilewright command.
