variable "ssh_host" {
  type        = string
  description = "The container's address."
  default     = "127.0.0.1"

  validation {
    condition     = var.ssh_host == "::1" || can(regex("^127\\.", var.ssh_host))
    error_message = "Only loopback: the container's host key is not known beforehand."
  }
}

variable "ssh_port" {
  type        = number
  description = "The container's SSH port."
}

variable "ssh_username" {
  type        = string
  description = "The user that the scripts run as."
  default     = "root"
}

variable "ssh_private_key_file" {
  type        = string
  description = "The key that the container accepts."
}

source "null" "local" {
  communicator         = "ssh"
  ssh_host             = var.ssh_host
  ssh_port             = var.ssh_port
  ssh_username         = var.ssh_username
  ssh_private_key_file = var.ssh_private_key_file
  ssh_timeout          = "60s"
}
