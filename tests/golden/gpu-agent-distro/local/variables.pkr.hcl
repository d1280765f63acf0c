variable "scripts_dir" {
  type        = string
  description = "The folder image-scripts on this machine."
}

variable "files_dir" {
  type        = string
  description = "The folder with what this machine made for the image: toolkit/, agent.tar.gz, manifest.json."
}
