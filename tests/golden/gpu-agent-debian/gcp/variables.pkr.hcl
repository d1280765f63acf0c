variable "scripts_dir" {
  type        = string
  description = "The folder image-scripts on this machine."
}

variable "files_dir" {
  type        = string
  description = "The folder with what this machine made for the image: toolkit/, agent.tar.gz, manifest.json."
}

variable "bake" {
  type        = string
  description = "Id of this bake: names and tags of everything that it creates carry it."

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{0,19}$", var.bake))
    error_message = "The bake id has 1 to 20 of a-z, 0-9 and -."
  }
}

variable "expires" {
  type        = string
  description = "Seconds since 1970 after which the build machine may be removed by anyone."

  validation {
    condition     = can(regex("^[0-9]+$", var.expires))
    error_message = "The expiry is a number of seconds since 1970."
  }
}

variable "fingerprint" {
  type        = string
  description = "The beginning of the fingerprint of what is baked: a tag of the image."

  validation {
    condition     = can(regex("^[0-9a-f]{32}$", var.fingerprint))
    error_message = "The fingerprint is 32 digits 0-9 a-f."
  }
}

variable "manifest_file" {
  type        = string
  description = "Where Packer writes what it made; Packer appends, so the file must be new."
}

variable "image_manifest" {
  type        = string
  description = "Where the manifest that lies in the image is copied to."
}

variable "reboot_pause" {
  type        = string
  description = "How long a machine gets to go down before it is asked again."
  default     = "30s"
}
